// Command guest is an ordinary program: it knows nothing of what runs it.
package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	switch os.Args[1] {
	case "environment":
		fmt.Println(os.Args[1:])
		for _, v := range slices.Sorted(slices.Values(os.Environ())) {
			if !strings.HasPrefix(v, "DIALTONE_") {
				fmt.Println(v)
			}
		}
	case "files":
		files(os.Args[2])
	case "lines":
		in := bufio.NewScanner(os.Stdin)
		for n := 1; in.Scan(); n++ {
			fmt.Printf("%d: %s\n", n, in.Text())
		}
	case "time":
		clock()
	case "random":
		b := make([]byte, 100_000)
		rand.Read(b)
		fmt.Println(len(b), slices.Max(b) > 200)
	case "serve":
		serve()
	case "exit":
		fmt.Print("bye")
		os.Exit(42)
	case "panic":
		panic("as it was told")
	}
}

// said prints an error without what differs between hosts.
func said(what string, err error) {
	var path *fs.PathError
	switch {
	case err == nil:
		fmt.Println(what, "ok")
	case os.IsNotExist(err):
		fmt.Println(what, "does not exist")
	case os.IsExist(err):
		fmt.Println(what, "exists")
	default:
		if p, ok := err.(*fs.PathError); ok {
			path = p
			err = path.Err
		}
		fmt.Println(what, err)
	}
}

func files(dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	said("mkdir", os.MkdirAll(in("a/b/c"), 0o755))
	said("mkdir again", os.Mkdir(in("a"), 0o755))
	said("write", os.WriteFile(in("a/file"), []byte(strings.Repeat("hello, file\n", 1000)), 0o644))
	f, err := os.OpenFile(in("a/file"), os.O_RDWR|os.O_APPEND, 0)
	said("open", err)
	fmt.Fprintf(f, "the end")
	_, err = f.Seek(-7, io.SeekEnd)
	said("seek", err)
	tail, err := io.ReadAll(f)
	fmt.Printf("%q %v\n", tail, err)
	said("truncate", f.Truncate(100))
	said("sync", f.Sync())
	i, err := f.Stat()
	said("stat", err)
	fmt.Println(i.Size(), i.Mode().IsRegular(), i.Name())
	b := make([]byte, 5)
	n, err := f.ReadAt(b, 12)
	fmt.Printf("%q %v\n", b[:n], err)
	said("close", f.Close())
	when := time.Unix(1_500_000_000, 0)
	said("times", os.Chtimes(in("a/file"), when, when))
	i, err = os.Stat(in("a/file"))
	fmt.Println(i.ModTime().Equal(when), err)
	said("rename", os.Rename(in("a/file"), in("a/b/renamed")))
	said("link", os.Link(in("a/b/renamed"), in("hard")))
	said("symlink", os.Symlink("a/b/renamed", in("soft")))
	to, err := os.Readlink(in("soft"))
	fmt.Println(to, err)
	content, err := os.ReadFile(in("soft"))
	fmt.Println(len(content), err)
	for i := range 100 {
		os.WriteFile(in(fmt.Sprintf("a/b/c/%03d", i)), nil, 0o600)
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		fmt.Println(filepath.ToSlash(name), d.IsDir(), d.Type()&fs.ModeSymlink != 0, err)
		return nil
	})
	said("remove a full one", os.Remove(in("a/b")))
	said("remove all", os.RemoveAll(in("a")))
	_, err = os.Stat(in("soft"))
	said("broken link", err)
	_, err = os.Open(in("none"))
	said("none", err)
	_, err = os.Open("/../../etc/passwd/none")
	fmt.Println("outside", err != nil)
}

func clock() {
	start := time.Now()
	if d := time.Since(time.Unix(1_700_000_000, 0)); d < 0 {
		fmt.Println("the clock is wrong:", d)
	}
	time.Sleep(10 * time.Millisecond)
	if d := time.Since(start); d < 10*time.Millisecond || d > time.Minute {
		fmt.Println("10 ms take", d)
	}
	var group sync.WaitGroup
	var total time.Duration
	var mutex sync.Mutex
	for i := range 10 {
		group.Go(func() {
			time.Sleep(time.Duration(i) * time.Millisecond)
			mutex.Lock()
			total += time.Duration(i)
			mutex.Unlock()
		})
	}
	group.Wait()
	select {
	case <-time.After(time.Millisecond):
	case <-time.Tick(time.Hour):
	}
	fmt.Println("slept", int(total))
}

// serve accepts a connection at the first listener, behind the directory, and gives each line back.
func serve() {
	l, err := net.FileListener(os.NewFile(4, "listener"))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	in := bufio.NewScanner(c)
	for in.Scan() {
		fmt.Fprintf(c, "%s!\n", in.Text())
	}
	fmt.Println("served", in.Err(), c.Close(), l.Close())
}
