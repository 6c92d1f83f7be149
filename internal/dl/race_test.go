//go:build race

package dl

const raceEnabled = true // the detector makes sync.Pool, in purego's calls, forget at random
