// Command jsonq prints what a path leads to in JSON values, one after another, of files or of the standard input.
//
//	jsonq PATH [FILE...]
//
// A path is made of .NAME, a member of an object; [N], an element of an array, from its end if negative; and [], all elements or
// members. What is not there is skipped. The path . is the value itself.
//
//	jsonq '.Imports[]' packages.json
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A step leads from a value to others.
type step func(v any, to func(any) error) error

func member(name string) step {
	return func(v any, to func(any) error) error {
		object, _ := v.(map[string]any)
		if v, ok := object[name]; ok {
			return to(v)
		}
		return nil
	}
}

func element(n int) step {
	return func(v any, to func(any) error) error {
		array, _ := v.([]any)
		i := n
		if i < 0 {
			i += len(array)
		}
		if i < 0 || i >= len(array) {
			return nil
		}
		return to(array[i])
	}
}

func all(v any, to func(any) error) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := to(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := to(v[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func parse(path string) ([]step, error) {
	if path == "." {
		return nil, nil
	}
	var steps []step
	for rest := path; rest != ""; {
		switch rest[0] {
		case '.':
			end := 1 + strings.IndexAny(rest[1:]+".", ".[")
			if end == 1 {
				return nil, fmt.Errorf("path %q: a name is missing before %q", path, rest[1:])
			}
			steps = append(steps, member(rest[1:end]))
			rest = rest[end:]
		case '[':
			index, after, ok := strings.Cut(rest[1:], "]")
			if !ok {
				return nil, fmt.Errorf("path %q: there is no ] behind %q", path, rest)
			}
			if index == "" {
				steps = append(steps, all)
			} else if n, err := strconv.Atoi(index); err == nil {
				steps = append(steps, element(n))
			} else {
				return nil, fmt.Errorf("path %q: %q is no number", path, index)
			}
			rest = after
		default:
			return nil, fmt.Errorf("path %q: %q should begin with . or [", path, rest)
		}
	}
	return steps, nil
}

// follow gives to what the steps lead to.
func follow(v any, steps []step, to func(any) error) error {
	if len(steps) == 0 {
		return to(v)
	}
	return steps[0](v, func(v any) error { return follow(v, steps[1:], to) })
}

// query prints what it finds in a stream of values.
func query(r io.Reader, steps []step, w io.Writer) error {
	d, e := json.NewDecoder(r), json.NewEncoder(w)
	d.UseNumber()
	e.SetEscapeHTML(false)
	for {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := follow(v, steps, func(v any) error { return e.Encode(v) }); err != nil {
			return err
		}
	}
}

func run(path string, files []string) (err error) {
	steps, err := parse(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	if len(files) == 0 {
		return query(os.Stdin, steps, out)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = errors.Join(query(f, steps, out), f.Close())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: jsonq PATH [FILE...]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "jsonq:", err)
		os.Exit(1)
	}
}
