// Package pages gives page-aligned memory outside Go's heap, whose address foreign code may keep.
package pages
