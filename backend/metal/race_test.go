//go:build race

package metal_test

const raceEnabled = true
