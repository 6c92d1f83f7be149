//go:build !linux

package nap

import "time"

// For sleeps d, rounded as the runtime does.
func For(d time.Duration) { time.Sleep(d) }
