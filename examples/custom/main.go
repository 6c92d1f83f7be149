// Command custom has kernels call Go functions of this program: every lane asks a map on the host for a
// value, at once, with bytes there and back, and counts itself in with words.
//
//	go run ./examples/custom [-device URI]
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	_ "github.com/dialtone-gpu/dialtone/backend/all"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

//go:embed kernels/custom.kernel.c
var text string

func main() {
	device := flag.String("device", "", "the device, as dialtone devices lists them; the best one if not given")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *device, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "custom:", err)
		os.Exit(1)
	}
}

// run launches 16 lanes on a device and writes what they print, then the total.
func run(ctx context.Context, uri string, out io.Writer) (err error) {
	dev, err := hal.Open(ctx, uri)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	rt, err := hostcall.New(ctx, dev, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()

	var store sync.Map // calls come from several goroutines
	for i, fruit := range []string{"apple", "pear", "plum", "cherry", "quince", "fig", "grape"} {
		store.Store(fmt.Sprintf("item-%d", i), fruit)
	}
	err = rt.Register("lookup", func(_ context.Context, lane *hostcall.Lane) error {
		value, ok := store.Load(string(lane.Bytes))
		if !ok {
			return errno.ENOENT // the lane gets this number
		}
		lane.Reply = append(lane.Reply, value.(string)...)
		lane.Out[0] = uint32(len(lane.Reply))
		return nil
	})
	if err != nil {
		return err
	}
	var lanes, ids atomic.Uint32
	err = rt.Register("count", func(_ context.Context, lane *hostcall.Lane) error {
		lane.Out[0], lane.Out[1] = lanes.Add(1), ids.Add(lane.In[0])
		return nil
	})
	if err != nil {
		return err
	}

	program, err := rt.Load(ctx, "custom.kernel.c", text)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	if _, err := program.Run(ctx, hostcall.Launch{Group: [3]int{16}, Policy: policy.Policy{Stdout: out}}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d lanes called, their ids add up to %d\n", lanes.Load(), ids.Load())
	return err
}
