//go:build !linux

package wasi_test

import "testing"

// handles is not told here.
func handles(testing.TB) int { return 0 }
