// Command hello greets, tells the time, asks for a name, writes a file and reads it back.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"
)

const path = "/hello.txt"

func main() {
	fmt.Println("Hello from Go!")
	now := time.Now().UnixMilli()
	fmt.Printf("It is %d.%03d seconds past 1970.\n", now/1000, now%1000)

	fmt.Print("What is your name? ")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // at the end of the input there is nobody
	name := cmp.Or(strings.TrimSpace(line), "stranger")
	fmt.Printf("Nice to meet you, %s.\n", name)

	if err := os.WriteFile(path, fmt.Appendf(nil, "This file was written by a Go program for %s.\n", name), 0o644); err != nil {
		fail(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		fail(err)
	}
	fmt.Printf("%s says: %s", path, text)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "hello:", err)
	os.Exit(1)
}
