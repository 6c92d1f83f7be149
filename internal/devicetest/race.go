//go:build race

package devicetest

const underRace = true
