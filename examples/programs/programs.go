// Package programs has the sources of example programs, for what builds and measures them.
package programs

import "embed"

// Sources are those of the programs that are one file.
//
//go:embed c/*.c rust/*.rs
var Sources embed.FS
