// Command gen writes the C header device/wire.h from packages wire, errno, service and cformat.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/dialtone-gpu/dialtone/hostcall/cformat"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/service"
	"github.com/dialtone-gpu/dialtone/hostcall/wire"
	"github.com/samber/lo"
)

// header is the generated text.
func header() string {
	errnos := lo.Map(errno.All(), func(d errno.Description, _ int) wire.Constant {
		return wire.Constant{Name: d.Name, Value: int64(d.Number), Doc: d.Message}
	})
	services := lo.Map(service.Constants(), func(c service.Constant, _ int) wire.Constant {
		return wire.Constant{Name: c.Name, Value: int64(c.Value)}
	})
	kinds := []wire.Constant{
		{Name: "PRINT_INT32", Value: int64(cformat.Int32)},
		{Name: "PRINT_UINT32", Value: int64(cformat.Uint32)},
		{Name: "PRINT_INT64", Value: int64(cformat.Int64)},
		{Name: "PRINT_UINT64", Value: int64(cformat.Uint64)},
		{Name: "PRINT_FLOAT32", Value: int64(cformat.Float32)},
		{Name: "PRINT_FLOAT64", Value: int64(cformat.Float64)},
		{Name: "PRINT_STRING", Value: int64(cformat.String)},
		{Name: "PRINT_NULL", Value: int64(cformat.NullString)},
		{Name: "PRINT_POINTER", Value: int64(cformat.Pointer)},
	}
	return wire.Header(errnos, services, kinds)
}

func main() {
	// go generate runs in the folder of the package that asks.
	path := filepath.Join("..", "..", "device", "wire.h")
	if err := os.WriteFile(path, []byte(header()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
