package cuda

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
	"unsafe"

	"github.com/dialtone-gpu/dialtone/backend/stream/streamtest"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/internal/dl"
	"github.com/dialtone-gpu/dialtone/internal/filesystem"
	"github.com/dialtone-gpu/dialtone/internal/gpufile"
)

func TestAttributeNames(t *testing.T) {
	seen := map[string]int{}
	for n, s := range attributes {
		if n < 1 || n > lastAttribute || s != strings.ToUpper(s) || seen[s] != 0 {
			t.Errorf("attribute %d is %q", n, s)
		}
		seen[s] = n
	}
	for n, want := range map[int]string{attrWarpSize: "WARP_SIZE", attrMajor: "COMPUTE_CAPABILITY_MAJOR", attrConcurrentManaged: "CONCURRENT_MANAGED_ACCESS", 177: "attribute_177"} {
		if got := attributeName(n); got != want {
			t.Errorf("attribute %d is %q", n, got)
		}
	}
}

// TestGPUFacts: every attribute that the driver gives, by its name or its number.
func TestGPUFacts(t *testing.T) {
	d := open(t)
	by := map[string]hal.Fact{}
	for f := range d.Facts(t.Context()) {
		if _, twice := by[f.Name]; twice || f.Source == "" || f.Value != "" && f.Error != "" {
			t.Errorf("%+v", f)
		}
		by[f.Name] = f
	}
	if by["WARP_SIZE"].Value != fmt.Sprint(d.Info().Subgroup) || by["uuid"].Value != d.Info().UUID || by["COMPUTE_CAPABILITY_MAJOR"].Value == "" {
		t.Errorf("%+v", by)
	}
	if os.Getenv(doubleEnv) != "" && (by["attribute_150"].Value != "7" || by["PAGEABLE_MEMORY_ACCESS"].Error == "") {
		t.Errorf("what the double knows: %+v, what it does not: %+v", by["attribute_150"], by["PAGEABLE_MEMORY_ACCESS"])
	}
}

// TestGPUFileTransfers lets the trials of direct transfers run. A machine that cannot is an answer too; one that neither can nor cannot is not.
func TestGPUFileTransfers(t *testing.T) {
	d := open(t)
	if os.Getenv("CUFILE_ALLOW_COMPAT_MODE") != "false" {
		if _, err := streamtest.Trial(t, d.Trials(), "io.file.read.direct").Run(t.Context(), t.TempDir()); err == nil || errors.Is(err, hal.ErrUnsupported) {
			t.Errorf("with the compatibility mode on: %v", err)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("cuFile is a library for Linux")
	}
	// The C library of this process read its environment when it began.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(t *testing.T, storage string, env ...string) string {
		cmd := exec.Command(exe, "-test.run=^TestTransferChild$", "-test.v")
		cmd.Env = append(append(os.Environ(), "CUFILE_ALLOW_COMPAT_MODE=false", "CUFILE_FORCE_COMPAT_MODE=false", "DIALTONE_CUFILE_TEST="+storage), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if left, _ := os.ReadDir(storage); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return string(out)
	}
	if os.Getenv(doubleEnv) == "" {
		t.Logf("%s", run(t, t.TempDir()))
		return
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("needs a C compiler: %v", err)
	}
	// O_DIRECT is not for every file system: the folder of the test may be in memory.
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
	lib := filepath.Join(t.TempDir(), "cufile.so")
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", lib, "testdata/cufile.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for env, want := range map[string][]string{
		"":            {"read: 1048576 bytes of a file on ", "write: 1048576 bytes of a file on "},
		"open:5010":   {"read unsupported: cuda: cuFileDriverOpen: nvidia-fs driver error (5010)", "write unsupported"},
		"handle:5008": {"read unsupported: cuda: cuFileHandleRegister: IO not supported"},
		"buffer:5011": {"read unsupported: cuda: cuFileBufRegister: CUDA driver error (5011)"},
		"move:5008":   {"read unsupported: cuda: cuFileRead: IO not supported", "write unsupported: cuda: cuFileWrite"},
		"move:1":      {"read open: cuda: cuFileRead: gave -1 instead of 1048576 bytes"},
		"lie:1":       {"read unsupported: other bytes arrived"},
		"handle:5030": {"read open: cuda: cuFileHandleRegister: code 5030", "anyhow open: CUFILE_ALLOW_COMPAT_MODE is not true"},
	} {
		out := run(t, storage, "DIALTONE_CUFILE="+lib, "CUFILE_DOUBLE="+env)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("with %q: want %q in\n%s", env, w, out)
			}
		}
	}
	// By whatever way: the environment is the trial's own, which comes after the other.
	trials := d.Trials()
	i := slices.IndexFunc(trials, func(t hal.Trial) bool { return t.Capability == "io.file.compat" })
	if i < 0 || len(trials[i].Env) == 0 {
		t.Fatalf("%+v", trials)
	}
	for env, want := range map[string]string{
		"":          "anyhow: 1048576 bytes of a file on " + filesystem.Name(storage) + ", compatibility mode on",
		"lie:1":     "anyhow unsupported: other bytes arrived",
		"nothing:1": "anyhow unsupported: other bytes arrived",
		"move:5008": "anyhow unsupported: cuda: cuFileRead: IO not supported",
		"move:1":    "anyhow open: cuda: cuFileRead: gave -1",
	} {
		if out := run(t, storage, append(trials[i].Env, "DIALTONE_CUFILE="+lib, "CUFILE_DOUBLE="+env)...); !strings.Contains(out, want) {
			t.Errorf("with %q: want %q in\n%s", env, want, out)
		}
	}
	if out := run(t, storage, "DIALTONE_CUFILE="+lib+".no"); !strings.Contains(out, "read unsupported: libcufile cannot be loaded") {
		t.Errorf("without the library:\n%s", out)
	}
}

// TestTransferChild is what TestGPUFileTransfers runs in processes of its own.
func TestTransferChild(t *testing.T) {
	storage := os.Getenv("DIALTONE_CUFILE_TEST")
	if storage == "" {
		t.Skip("a part of TestGPUFileTransfers")
	}
	d := open(t).Driver().(*device)
	for capability, word := range map[string]string{"io.file.read.direct": "read", "io.file.write.direct": "write", "io.file.compat": "anyhow"} {
		detail, err := streamtest.Trial(t, d.Trials(), capability).Run(t.Context(), storage)
		switch {
		case err == nil:
			fmt.Printf("%s: %s\n", word, detail)
		case errors.Is(err, hal.ErrUnsupported):
			fmt.Printf("%s unsupported: %v\n", word, err)
		default:
			fmt.Printf("%s open: %v\n", word, err)
		}
	}
}

// TestGPUStreamOrder: the trials of what a stream does in its turn, and of exports. A driver that cannot is an answer too; one that neither
// can nor cannot is not. The double does to order what a driver may get wrong.
func TestGPUStreamOrder(t *testing.T) {
	d := open(t)
	run := func(capability string) string {
		return streamtest.Outcome(t, streamtest.Trial(t, d.Trials(), capability))
	}
	if os.Getenv(doubleEnv) == "" {
		for _, id := range []string{"mem.pools", "io.dmabuf.dev", "io.dmabuf.host", "queue.hostfn"} {
			if got := run(id); strings.HasPrefix(got, "open: ") {
				t.Errorf("%s: %s", id, got)
			} else {
				t.Logf("%s: %s", id, got)
			}
		}
		return
	}
	lib, err := dl.Open(os.Getenv("DIALTONE_LIBCUDA"))
	must(t, err)
	order := func(s string) {
		text := dl.CString(s)
		lib.Lookup("double_order").Call(uintptr(unsafe.Pointer(&text[0])))
	}
	defer order("")
	// The double has no DMA-BUFs to give. Files of the right size do to see what the trial makes of an export.
	exports := &streamtest.Exports{TB: t}
	streams := &d.Driver().(*device).api.streams
	defer func() { streams.Exported = nil }()
	for _, c := range []struct {
		capability, order string
		fake              bool
		want              string
	}{
		{"mem.pools", "", false, "done: 3 times 65536 bytes were allocated, written, read and freed"},
		{"mem.pools", "forgets:1", false, "unsupported: other bytes came back"},
		{"mem.pools", "cuMemAllocAsync:801", false, "unsupported: cuda:0: cuMemAllocAsync: code 801"},
		{"mem.pools", "cuMemAllocAsync:2", false, "open: cuda:0: cuMemAllocAsync: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"mem.pools", "cuMemcpyHtoDAsync_v2:2", false, "open: cuda:0: cuMemcpyHtoDAsync: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"queue.hostfn", "", false, "done: a function was called once, after a copy of 4194304 bytes and before another one"},
		{"queue.hostfn", "late:1", false, "unsupported: the copy behind the function did not wait for it"},
		{"queue.hostfn", "cuLaunchHostFunc:801", false, "unsupported: cuda:0: cuLaunchHostFunc: code 801"},
		{"queue.hostfn", "cuLaunchHostFunc:2", false, "open: cuda:0: cuLaunchHostFunc: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"io.dmabuf.dev", "", false, "unsupported: what was exported is no DMA-BUF"},
		{"io.dmabuf.dev", "", true, "done: a file"},
		{"io.dmabuf.dev", "cuMemGetHandleForAddressRange:801", true, "unsupported: cuda:0: cuMemGetHandleForAddressRange: code 801"},
		{"io.dmabuf.dev", "cuMemGetHandleForAddressRange:2", true, "open: cuda:0: cuMemGetHandleForAddressRange: CUDA_ERROR_OUT_OF_MEMORY (2)"},
		{"io.dmabuf.host", "", false, "unsupported: what was exported is no DMA-BUF"},
		{"io.dmabuf.host", "", true, "done: a file"},
	} {
		streams.Exported = nil
		if c.fake {
			streams.Exported = exports.Look
		}
		order(c.order)
		if got := run(c.capability); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s, %q: %q, want %q", c.capability, c.order, got, c.want)
		}
	}
	if exports.N != 2 {
		t.Errorf("%d exports were looked at", exports.N)
	}
}
