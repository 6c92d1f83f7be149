package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dialtone-gpu/dialtone/hostcall/cformat"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
)

func TestHeaderIsUpToDate(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", "..", "..", "device", "wire.h"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != header() {
		t.Error("device/wire.h is out of date: run go generate ./hostcall/wire")
	}
}

func TestHeaderHasEverything(t *testing.T) {
	h := header()
	seen := map[string]bool{}
	for _, line := range strings.Split(h, "\n") {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "#define" {
			if seen[f[1]] {
				t.Errorf("%s is defined twice", f[1])
			}
			seen[f[1]] = true
		}
	}
	want := []string{"HC_MAX_WORDS", "HC_SEQ_MASK", "HC_ERRNO_STOP"}
	for _, c := range wire.Calls {
		want = append(want, "HC_OP_"+c.Name)
	}
	for _, d := range errno.All() {
		want = append(want, "HC_"+d.Name)
	}
	for _, c := range service.Constants() {
		want = append(want, "HC_"+c.Name)
	}
	for _, name := range want {
		if !seen[name] {
			t.Errorf("%s is not defined", name)
		}
	}
	for _, p := range wire.ParamTable {
		if strings.Count(h, "    hc_u32 "+p.Name+";") != 1 {
			t.Errorf("the parameter %s is not there once", p.Name)
		}
	}
	if int(cformat.Pointer) != 9 {
		t.Errorf("the kinds of printf have grown to %d: add them to the header", cformat.Pointer)
	}
}
