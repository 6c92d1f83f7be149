package service

import (
	"context"
	"testing"
	"time"

	"github.com/dialtone-gpu/dialtone/hostcall/errno"
	"github.com/dialtone-gpu/dialtone/hostcall/policy"
)

func TestClocks(t *testing.T) {
	c := NewClock(policy.Policy{})
	a, e := c.Monotonic()
	if a == 0 || e != errno.OK {
		t.Fatalf("monotonic: %d, %v", a, e)
	}
	for range 1000 {
		b, _ := c.Monotonic()
		if b < a {
			t.Fatalf("the monotonic clock went back from %d to %d", a, b)
		}
		a = b
	}
	sec, nsec, e := c.Wall()
	if d := time.Since(time.Unix(sec, int64(nsec))); e != errno.OK || nsec >= 1e9 || d < 0 || d > time.Minute {
		t.Errorf("wall: %d.%09d, %v", sec, nsec, e)
	}
	if m, w, e := c.Resolution(); m == 0 || w == 0 || e != errno.OK {
		t.Errorf("resolution: %d, %d, %v", m, w, e)
	}
}

func TestSleep(t *testing.T) {
	c := NewClock(policy.Policy{})
	start, _ := c.Monotonic()
	want(t, "sleep", c.Sleep(background, 3*time.Millisecond), errno.OK)
	if now, _ := c.Monotonic(); now-start < 3e6 {
		t.Errorf("slept %d ns", now-start)
	}
	want(t, "sleep for nothing", c.Sleep(background, 0), errno.OK)
	want(t, "sleep backwards", c.Sleep(background, -1), errno.EINVAL)
	ctx, cancel := context.WithTimeout(background, time.Millisecond)
	defer cancel()
	want(t, "interrupted", c.Sleep(ctx, time.Hour), errno.ECANCELED)
	want(t, "after the end", c.Sleep(ctx, 0), errno.ECANCELED)
}

func TestNoClocks(t *testing.T) {
	c := NewClock(policy.Policy{NoClocks: true})
	_, e := c.Monotonic()
	want(t, "monotonic", e, errno.ENOTCAPABLE)
	_, _, e = c.Wall()
	want(t, "wall", e, errno.ENOTCAPABLE)
	_, _, e = c.Resolution()
	want(t, "resolution", e, errno.ENOTCAPABLE)
	want(t, "sleep", c.Sleep(background, 0), errno.ENOTCAPABLE)
}
