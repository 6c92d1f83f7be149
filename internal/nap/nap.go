// Package nap sleeps for less than a millisecond where the system can: time.Sleep rounds
// up to one when the program is idle.
package nap
