package hip

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/backend/stream/streamtest"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

// Variables of the child processes of TestFileTransfers: the folder for files, and the double that has hipGetProcAddress, too.
const (
	storageEnv = "DIALTONE_HIPFILE_TEST"
	doubleEnv  = "DIALTONE_HIPFILE_TEST_DOUBLE"
)

// TestFileTransfers lets the trials of direct transfers run with a double of libhipfile.
func TestFileTransfers(t *testing.T) {
	needStandIn(t)
	dev := open(t).Driver().(*device)
	if os.Getenv("HIPFILE_ALLOW_COMPAT_MODE") != "false" {
		if _, err := streamtest.Trial(t, dev.Trials(), "io.file.read.direct").Run(t.Context(), t.TempDir()); err == nil || errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "HIPFILE_ALLOW_COMPAT_MODE is not false") {
			t.Errorf("with the fallback on: %v", err)
		}
	}
	if os.Getenv("HIPFILE_ALLOW_COMPAT_MODE") != "true" {
		if _, err := streamtest.Trial(t, dev.Trials(), "io.file.compat").Run(t.Context(), t.TempDir()); err == nil || errors.Is(err, hal.ErrUnsupported) || !strings.Contains(err.Error(), "HIPFILE_ALLOW_COMPAT_MODE is not true") {
			t.Errorf("with the fallback off: %v", err)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("hipFile is a library for Linux")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	lib := filepath.Join(t.TempDir(), "hipfile.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", lib, "testdata/hipfile.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// O_DIRECT is not for every file system: the folder for temporary files may be in memory.
	storage, err := os.MkdirTemp(".", "transfer-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(storage)
	if f, err := gpufile.Create(filepath.Join(storage, "try"), nil); err != nil {
		t.Skipf("no O_DIRECT here: %v", err)
	} else {
		f.Close()
		os.Remove(f.Name())
	}
	fs := filesystem.Name(storage)
	internal := "unsupported: hip: hipFileRead: code 5030: its direct path takes files on ext4 and xfs"
	if fs == "ext4" || fs == "xfs" {
		internal = "open: hip: hipFileRead: code 5030, which it also gives"
	}
	for _, c := range []struct {
		env, want string // of the library; of reading
		write     string // of writing, if something else is to be said
	}{
		{"", "done: 1048576 bytes of a file on " + fs + ", compatibility mode off", "done: 1048576 bytes of a file on "},
		{"HIPFILE_DOUBLE=open:5010", "unsupported: hip: hipFileDriverOpen: GPU IO driver error (5010)", ""},
		{"HIPFILE_DOUBLE=handle:5008", "unsupported: hip: hipFileHandleRegister: not supported on this file (5008)", ""},
		{"HIPFILE_DOUBLE=handle:5018", "open: hip: hipFileHandleRegister: code 5018", ""},
		{"HIPFILE_DOUBLE=buffer:5036", "open: hip: hipFileBufRegister: code 5036", ""},
		{"HIPFILE_DOUBLE=move:5009", "unsupported: hip: hipFileRead: GPU not supported (5009)", "unsupported: hip: hipFileWrite: GPU not supported (5009)"},
		{"HIPFILE_DOUBLE=errno:19", "unsupported: hip: hipFileRead: gave -1 instead of 1048576 bytes: no such device", "unsupported: hip: hipFileWrite: gave -1"},
		{"HIPFILE_DOUBLE=errno:5", "open: hip: hipFileRead: gave -1 instead of 1048576 bytes: input/output error", "open: hip: hipFileWrite: gave -1"},
		{"HIPFILE_DOUBLE=copy:1", "unsupported: hipFileRead made the process read or write 10", "unsupported: hipFileWrite made the process read or write 10"},
		{"HIPFILE_DOUBLE=lie:1", "unsupported: other bytes arrived", "unsupported: the file has other bytes"},
		{"HIPFILE_DOUBLE=move:5030", internal, strings.Replace(internal, "Read", "Write", 1)},
		{"HIPFILE_DOUBLE=move:5030 HIPFILE_NO_RUNTIME=1", "unsupported: hip: hipFileRead: code 5030: the HIP runtime has no hipAmdFileRead", ""},
		{"DIALTONE_HIPFILE=" + lib + ".no", "unsupported: libhipfile cannot be loaded", ""},
	} {
		t.Run(cmpName(c.env), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFileTransferChild$", "-test.v")
			cmd.Env = append(append(os.Environ(), "HIPFILE_ALLOW_COMPAT_MODE=false", "HIPFILE_FORCE_COMPAT_MODE=false", "DIALTONE_HIPFILE="+lib,
				storageEnv+"="+storage, doubleEnv+"="+lib), strings.Fields(c.env)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if left, _ := os.ReadDir(storage); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			for _, want := range []string{"\nread " + c.want, "\nwrite " + c.write, "\nanyhow open: HIPFILE_ALLOW_COMPAT_MODE is not true"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("want %q in\n%s", want, out)
				}
			}
		})
	}
	// By whatever way: the environment is the trial's own, which comes after the other.
	trials := dev.Trials()
	i := slices.IndexFunc(trials, func(t hal.Trial) bool { return t.Capability == "io.file.compat" })
	if i < 0 || len(trials[i].Env) == 0 {
		t.Fatalf("%+v", trials)
	}
	for env, want := range map[string]string{
		"":                         "done: 1048576 bytes of a file on " + fs + ", compatibility mode on",
		"HIPFILE_DOUBLE=copy:1":    "done: 1048576 bytes of a file on ", // which is what it may do here
		"HIPFILE_DOUBLE=lie:1":     "unsupported: other bytes arrived",
		"HIPFILE_DOUBLE=nothing:1": "unsupported: other bytes arrived",
		"HIPFILE_DOUBLE=move:5030": "open: hip: hipFileRead: code 5030",
		"HIPFILE_DOUBLE=open:5010": "unsupported: hip: hipFileDriverOpen: GPU IO driver error (5010)",
		"DIALTONE_HIPFILE=none":    "unsupported: libhipfile cannot be loaded",
	} {
		t.Run("anyhow "+cmpName(env), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFileTransferChild$", "-test.v")
			cmd.Env = slices.Concat(os.Environ(), []string{"HIPFILE_ALLOW_COMPAT_MODE=false", "HIPFILE_FORCE_COMPAT_MODE=false", "DIALTONE_HIPFILE=" + lib,
				storageEnv + "=" + storage, doubleEnv + "=" + lib}, trials[i].Env, strings.Fields(env))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "\nanyhow "+want) {
				t.Errorf("%v; want %q in\n%s", err, want, out)
			}
			if left, _ := os.ReadDir(storage); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func cmpName(env string) string {
	if env == "" {
		return "all is well"
	}
	return strings.NewReplacer("HIPFILE_DOUBLE=", "", "/", "-").Replace(filepath.Base(env))
}

// TestFileTransferChild is what TestFileTransfers runs in processes of its own: the C library reads its environment when it begins.
func TestFileTransferChild(t *testing.T) {
	storage := os.Getenv(storageEnv)
	if storage == "" {
		t.Skip("a part of TestFileTransfers")
	}
	d := open(t).Driver().(*device)
	double, err := dl.Open(os.Getenv(doubleEnv))
	must(t, err)
	d.api.GetProcAddress = double.Lookup("hipGetProcAddress")
	for _, one := range d.Trials() {
		name, ok := map[string]string{"io.file.read.direct": "read", "io.file.write.direct": "write", "io.file.compat": "anyhow"}[one.Capability]
		if !ok {
			continue
		}
		if !one.Risky {
			t.Errorf("%s may take the process with it", one.Capability)
		}
		detail, err := one.Run(t.Context(), storage)
		switch {
		case err == nil:
			fmt.Printf("\n%s done: %s\n", name, detail)
		case errors.Is(err, hal.ErrUnsupported):
			fmt.Printf("\n%s unsupported: %v\n", name, err)
		default:
			fmt.Printf("\n%s open: %v\n", name, err)
		}
	}
	var facts []string
	for _, f := range d.api.fileFacts() {
		facts = append(facts, f.Name+"="+f.Value)
	}
	there := "1"
	if os.Getenv("HIPFILE_NO_RUNTIME") != "" {
		there = "0"
	}
	library := "hipfile="
	if path := os.Getenv("DIALTONE_HIPFILE"); path == os.Getenv(doubleEnv) {
		library += "0.3.7 (" + path + ")"
	}
	if want := []string{library, "hipAmdFileRead=" + there, "hipAmdFileWrite=" + there}; !slices.Equal(facts, want) {
		t.Errorf("facts %q, want %q", facts, want)
	}
}
