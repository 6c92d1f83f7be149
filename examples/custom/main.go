// Custom runs a kernel that calls Go functions of this program: work-items fill orders from a warehouse that is
// a Go map, many at a time.
//
//	go run ./examples/custom
//	go run ./examples/custom -device cuda:0 -orders 1000
package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	_ "github.com/dialtone-gpu/dialtone/backend/all"
	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

// In a folder of its own: without cgo, the go command takes no C file beside Go files.
//
//go:embed kernel/fill.kernel.c
var kernel string

func main() {
	device := flag.String("device", "", "the device, such as cpu:0; the best one if empty")
	orders := flag.Int("orders", 12, "how many orders to fill")
	flag.Parse()
	if err := run(context.Background(), *device, *orders, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "custom:", err)
		os.Exit(1)
	}
}

// stock is what the warehouse has of an item.
type stock struct {
	shelf string
	left  uint32
}

// warehouse is ordinary Go: what work-items call at the same time is guarded by a mutex.
type warehouse struct {
	mutex  sync.Mutex
	items  map[string]*stock
	booked map[uint32]errno.Errno // by order
}

func newWarehouse() *warehouse {
	return &warehouse{
		items: map[string]*stock{
			"bolt": {"A1", 5000}, "nut": {"A2", 80}, "washer": {"B1", 1000000}, "gear": {"C7 top", 30},
		},
		booked: map[uint32]errno.Errno{},
	}
}

// reserve takes a quantity of an item off its shelf. Any error reaches the work-item as a number: fs.ErrNotExist and its like as
// the one that C programmers know, an errno.Errno as itself.
func (w *warehouse) reserve(_ context.Context, lane *hostcall.Lane) error {
	if len(lane.In) != 1 || len(lane.Out) != 1 {
		return errno.EINVAL
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	s, ok := w.items[string(lane.Bytes)]
	if !ok {
		return fmt.Errorf("%q: %w", lane.Bytes, os.ErrNotExist)
	}
	if s.left < lane.In[0] {
		return errno.ENOSPC
	}
	s.left -= lane.In[0]
	lane.Out[0] = s.left
	lane.Reply = append(lane.Reply, s.shelf...)
	return nil
}

// book notes how an order went.
func (w *warehouse) book(_ context.Context, lane *hostcall.Lane) error {
	if len(lane.In) != 2 || len(lane.Out) != 1 {
		return errno.EINVAL
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.booked[lane.In[0]] = errno.Errno(lane.In[1])
	lane.Out[0] = uint32(len(w.booked))
	return nil
}

// order is an order as the kernel's struct has it.
type order struct {
	item     string
	quantity uint32
}

const orderSize = 28

func (o order) append(b []byte) []byte {
	var item [24]byte
	copy(item[:23], o.item)
	return binary.LittleEndian.AppendUint32(append(b, item[:]...), o.quantity)
}

// makeOrders makes up n orders.
func makeOrders(n int) []order {
	items := []string{"bolt", "nut", "washer", "gear", "sprocket"}
	list := make([]order, n)
	for i := range list {
		list[i] = order{items[i%len(items)], uint32(1 + i*7%20)}
	}
	return list
}

func run(ctx context.Context, uri string, n int, out io.Writer) (err error) {
	dev, err := hal.Open(ctx, uri)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	w := newWarehouse()
	if err := fill(ctx, dev, w, makeOrders(n), out); err != nil {
		return err
	}
	return w.report(out)
}

// fill runs the kernel over the orders.
func fill(ctx context.Context, dev *hal.Device, w *warehouse, orders []order, out io.Writer) (err error) {
	var closers []func() error
	defer func() {
		for _, c := range slices.Backward(closers) {
			err = errors.Join(err, c())
		}
	}()
	rt, err := hostcall.New(ctx, dev, nil)
	if err != nil {
		return err
	}
	closers = append(closers, rt.Close)
	if err := errors.Join(rt.Register("reserve", w.reserve), rt.Register("book", w.book)); err != nil {
		return err
	}
	program, err := rt.Load(ctx, "fill.kernel.c", kernel)
	if err != nil {
		return err
	}
	closers = append(closers, program.Close)

	var bytes []byte
	for _, o := range orders {
		bytes = o.append(bytes)
	}
	buffer, err := dev.Alloc(hal.DeviceMemory, max(len(bytes), orderSize))
	if err != nil {
		return err
	}
	closers = append(closers, buffer.Close)
	queue, err := dev.NewQueue()
	if err != nil {
		return err
	}
	closers = append(closers, queue.Close)
	if err := queue.Write(buffer, 0, bytes); err != nil {
		return err
	}

	const group = 32
	_, err = program.Run(ctx, hostcall.Launch{
		Grid:   [3]int{(len(orders) + group - 1) / group},
		Group:  [3]int{group},
		Args:   []hal.Arg{hal.Memory(buffer), hal.Int32(int32(len(orders)))},
		Policy: policy.Policy{Stdout: out, Stderr: out},
	})
	return err
}

// report prints what the Go side knows.
func (w *warehouse) report(out io.Writer) error {
	var left, failed []string
	for name, s := range w.items {
		left = append(left, fmt.Sprintf("%d x %s", s.left, name))
	}
	count := map[errno.Errno]int{}
	for _, e := range w.booked {
		count[e]++
	}
	for e, n := range count {
		if e != 0 {
			failed = append(failed, fmt.Sprintf("%d with %s", n, e.Name()))
		}
	}
	slices.Sort(left)
	slices.Sort(failed)
	_, err := fmt.Fprintf(out, "%d orders booked, %d filled; failed: %s\nleft: %s\n", len(w.booked), count[0], strings.Join(failed, ", "), strings.Join(left, ", "))
	return err
}
