//go:build !linux

package service

// cursor is how this system reads directories.
type cursor = indexCursor
