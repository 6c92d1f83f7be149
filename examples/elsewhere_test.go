package examples_test

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestOclgrind(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Oclgrind, "^Test(Hello|KernelC|GrepExitCode)$", "OCLGRIND_CHECK_API=1")
}

// TestRusticl has few kernels: its compiler takes seconds for each.
func TestRusticl(t *testing.T) {
	devicetest.Elsewhere(t, devicetest.Rusticl, "^Test(Hello|GrepExitCode)$")
}
