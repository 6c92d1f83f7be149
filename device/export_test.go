package device

// PointersWithoutSpace gives the places of pointer types that do not say where they point.
func PointersWithoutSpace(text string) []int {
	var places []int
	pointers(text, func(at int) { places = append(places, at) })
	return places
}
