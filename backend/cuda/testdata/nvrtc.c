/* A double of NVRTC for the double of the driver: what it makes of any source has the kernels add and another. NVRTC_DOUBLE=1500 has a
 * compilation take so many milliseconds. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int R;
static const char image[] = ".version 8.0\n.entry add(\n.entry another(\n";

const char *nvrtcGetErrorString(R r) { return "NVRTC_DOUBLE"; }
R nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = 0, 0; }
R nvrtcGetNumSupportedArchs(int *n) { return *n = 1, 0; }
R nvrtcGetSupportedArchs(int *archs) { return *archs = 90, 0; }
R nvrtcCreateProgram(char **p, const char *src, const char *name, int n, const char **headers, const char **names) {
	return *p = strdup(src), 0;
}
R nvrtcDestroyProgram(char **p) { return free(*p), *p = 0, 0; }
R nvrtcCompileProgram(char *p, int n, const char **options) {
	const char *s = getenv("NVRTC_DOUBLE");
	long ms = s ? atol(s) : 0;
	size_t before = strlen(p);
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, 0);
	for (int i = 0; i < n; i++)
		if (strncmp(options[i], "--", 2)) return 5; /* what the arguments point to is still theirs */
	return before == strlen(p) ? 0 : 4;
}
R nvrtcGetProgramLogSize(char *p, size_t *n) { return *n = 1, 0; }
R nvrtcGetProgramLog(char *p, char *to) { return *to = 0, 0; }
R nvrtcGetCUBINSize(char *p, size_t *n) { return *n = sizeof image, 0; }
R nvrtcGetCUBIN(char *p, char *to) { return memcpy(to, image, sizeof image), 0; }
R nvrtcGetPTXSize(char *p, size_t *n) { return *n = sizeof image, 0; }
R nvrtcGetPTX(char *p, char *to) { return memcpy(to, image, sizeof image), 0; }
