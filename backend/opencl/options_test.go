package opencl

import "testing"

// TestBuildOptions: what a device does not say of its floats, the kernel library is not told.
func TestBuildOptions(t *testing.T) {
	const dialect, exact, subnormals, division = "-cl-std=CL1.2", " -DHC_EXACT_FLOAT=1", " -DHC_SUBNORMALS=1",
		" -cl-fp32-correctly-rounded-divide-sqrt -DHC_EXACT_DIVISION=1"
	const least = fpInfNaN | fpRoundToNearest
	for config, want := range map[uint64]string{
		0:                                        dialect,
		fpDenorm | fpCorrectlyRounded | fpInfNaN: dialect, // an embedded profile, which rounds towards zero
		least:                                    dialect + exact,
		least | fpDenorm:                         dialect + exact + subnormals,
		least | fpCorrectlyRounded:               dialect + exact + division,
		0xbf:                                     dialect + exact + subnormals + division, // PoCL 3.1
	} {
		if got := buildOptions(config); got != want {
			t.Errorf("%#x: got %q, want %q", config, got, want)
		}
	}
}
