package opencl_test

import (
	"testing"

	"github.com/dialtone-gpu/dialtone/internal/devicetest"
)

func TestMain(m *testing.M) { devicetest.Main(m) }

func TestOclgrind(t *testing.T) { devicetest.Elsewhere(t, devicetest.Oclgrind, ".") }

func TestRusticl(t *testing.T) { devicetest.Elsewhere(t, devicetest.Rusticl, ".") }
