package dl

import (
	"context"
	"fmt"
)

// Within gives what f gives, which calls foreign functions, or an error that wraps the context's if that ends first: a foreign call cannot be
// interrupted. f goes on then in its goroutine, so it keeps alive what it uses, and late, if it is not nil, gets what f gives without an error,
// to give it back. what begins the message, as in "cuda:0: compile grep.kernel.c".
func Within[T any](ctx context.Context, what string, late func(T), f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := f()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
	}
	go func() {
		if o := <-done; o.err == nil && late != nil {
			late(o.value)
		}
	}()
	var none T
	return none, fmt.Errorf("%s: the driver has not answered: %w", what, ctx.Err())
}
