package dl

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestWithin(t *testing.T) {
	broken := errors.New("broken")
	if v, err := Within(t.Context(), "x", nil, func() (int, error) { return 3, broken }); v != 3 || err != broken {
		t.Errorf("%d, %v", v, err)
	}
	for _, fails := range []error{nil, broken} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		answers, late, ended := make(chan int), make(chan int, 1), make(chan bool)
		v, err := Within(ctx, "a compilation", func(v int) { late <- v }, func() (int, error) {
			defer close(ended)
			return <-answers, fails
		})
		if v != 0 || !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "a compilation: the driver has not answered: ") {
			t.Errorf("%d, %v", v, err)
		}
		answers <- 5
		<-ended
		if fails == nil {
			if v := <-late; v != 5 {
				t.Errorf("%d came late", v)
			}
			continue
		}
		select {
		case v := <-late:
			t.Errorf("%d came with an error", v)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
