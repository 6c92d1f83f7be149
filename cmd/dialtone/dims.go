package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// dims is a flag of one to three sizes: "64", "8x8", "4x4x4". Zero dimensions were not given.
type dims [3]int

// String is empty for the zero value, which the help then does not show as a default.
func (d *dims) String() string {
	var parts []string
	for _, n := range d {
		if n > 0 {
			parts = append(parts, strconv.Itoa(n))
		}
	}
	return strings.Join(parts, "x")
}

func (d *dims) Type() string { return "N[xN[xN]]" }

func (d *dims) Set(s string) error {
	parts := strings.Split(strings.ToLower(s), "x")
	if len(parts) > len(d) {
		return errors.New("at most three sizes, as in 8x8x8")
	}
	var next dims
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is no size from 1 to 2147483647; the form is N, NxM or NxMxK, as in 64 or 8x8", part)
		}
		next[i] = int(n)
	}
	*d = next
	return nil
}
