package program_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/dialtone-gpu/dialtone/hal"
	"github.com/dialtone-gpu/dialtone/hostcall"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
	"github.com/dialtone-gpu/dialtone/program"
)

// A module runs in two instances, which reach nothing but standard output.
func Example() {
	ctx := context.Background()
	module, err := os.ReadFile("testdata/hello.wasm") // toolchain.Build makes modules of sources
	check(err)
	dev, err := hal.Open(ctx, "") // the best device; import backend/all for all there are
	check(err)
	defer dev.Close()
	rt, err := hostcall.New(ctx, dev, nil)
	check(err)
	defer rt.Close()
	prog, err := program.Load(ctx, rt, "hello.wasm", module, program.Options{})
	check(err)
	defer prog.Close()

	res, err := prog.Run(ctx, program.Launch{
		Instances: 2,
		Policy:    policy.Policy{Stdout: os.Stdout, Args: []string{"hello"}},
	})
	check(err)
	for i, end := range res.Ends {
		fmt.Printf("instance %d: exit code %d, trapped: %v\n", i, end.Code, end.Trap != nil)
	}
	// Output:
	// Hello from a program.
	// Hello from a program.
	// instance 0: exit code 0, trapped: false
	// instance 1: exit code 0, trapped: false
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
