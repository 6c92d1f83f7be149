// Package filesystem names the type of the file system that a file is on: what a direct transfer proves, it proves there.
package filesystem

// unknown is what Name gives where the system does not tell.
const unknown = "an unknown file system"
