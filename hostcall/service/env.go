package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// MaxBlock is the size in bytes that arguments and environment together may have, as a device keeps a copy of them: 128 KiB, which is
// what Linux allows a single one of them.
const MaxBlock = 128 << 10

// Env is the arguments and the environment of a run, packed as a device caches them: one block in which Argc arguments and then
// Envc variables follow each other, each ended by a NUL byte. ArgBytes is where the variables begin.
type Env struct {
	Argc, Envc int
	ArgBytes   int
	Block      []byte
}

// NewEnv packs p's arguments and variables. It fails for strings that C cannot hold and for more than MaxBlock bytes.
func NewEnv(p policy.Policy) (Env, error) {
	if err := p.Check(); err != nil {
		return Env{}, err
	}
	args, vars := Block(p.Args), Block(p.Env)
	if n := len(args) + len(vars); n > MaxBlock {
		return Env{}, fmt.Errorf("arguments (%d bytes) and environment (%d bytes) are larger than the %d bytes that a device keeps: pass less, for instance in a file",
			len(args), len(vars), MaxBlock)
	}
	return Env{Argc: len(p.Args), Envc: len(p.Env), ArgBytes: len(args), Block: append(args, vars...)}, nil
}

// Block packs strings one behind the other, each ended by a NUL byte. They must have no NUL byte in them.
func Block(list []string) []byte {
	n := len(list)
	for _, s := range list {
		n += len(s)
	}
	b := make([]byte, 0, n)
	for _, s := range list {
		b = append(append(b, s...), 0)
	}
	return b
}

// Unblock is Block's inverse.
func Unblock(b []byte) ([]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	s, ok := strings.CutSuffix(string(b), "\x00")
	if !ok {
		return nil, errors.New("the last string has no NUL byte at its end")
	}
	return strings.Split(s, "\x00"), nil
}
