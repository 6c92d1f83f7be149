package region

// LocalTypes is localTypes, for tests.
var LocalTypes = localTypes
