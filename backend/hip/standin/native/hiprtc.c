/* hiprtc on the host's C++ compiler: HIP C++ becomes a shared object that standin.c takes for a code object. */
#include <hip/hiprtc.h>

#include <ctype.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

struct _hiprtcProgram {
    char *source, *log, *code;
    size_t log_size, code_size;
};

const char *hiprtcGetErrorString(hiprtcResult r) {
    static const char *const names[] = {"HIPRTC_SUCCESS", "HIPRTC_ERROR_OUT_OF_MEMORY", "HIPRTC_ERROR_PROGRAM_CREATION_FAILURE",
        "HIPRTC_ERROR_INVALID_INPUT", "HIPRTC_ERROR_INVALID_PROGRAM", "HIPRTC_ERROR_INVALID_OPTION", "HIPRTC_ERROR_COMPILATION"};
    return (unsigned)r < sizeof names / sizeof *names ? names[r] : "unknown";
}
hiprtcResult hiprtcVersion(int *a, int *b) { return *a = 9, *b = 0, HIPRTC_SUCCESS; }

hiprtcResult hiprtcCreateProgram(hiprtcProgram *p, const char *src, const char *name, int n, const char **headers, const char **names) {
    (void)name, (void)headers, (void)names;
    if (!src || n) return HIPRTC_ERROR_INVALID_INPUT;
    *p = calloc(1, sizeof **p);
    (*p)->source = strdup(src);
    return HIPRTC_SUCCESS;
}
hiprtcResult hiprtcDestroyProgram(hiprtcProgram *p) {
    free((*p)->source), free((*p)->log), free((*p)->code), free(*p);
    *p = 0;
    return HIPRTC_SUCCESS;
}
hiprtcResult hiprtcGetProgramLogSize(hiprtcProgram p, size_t *n) { return *n = p->log_size, HIPRTC_SUCCESS; }
hiprtcResult hiprtcGetProgramLog(hiprtcProgram p, char *to) { return memcpy(to, p->log ? p->log : "", p->log_size), HIPRTC_SUCCESS; }
hiprtcResult hiprtcGetCodeSize(hiprtcProgram p, size_t *n) { return *n = p->code_size, HIPRTC_SUCCESS; }
hiprtcResult hiprtcGetCode(hiprtcProgram p, char *to) { return memcpy(to, p->code, p->code_size), HIPRTC_SUCCESS; }

/* The whole file and a NUL; size is without it. */
static char *whole(const char *path, size_t *size) {
    struct stat st;
    int f = open(path, O_RDONLY);
    char *text = 0;
    *size = 0;
    if (f < 0) return 0;
    if (!fstat(f, &st) && (text = calloc(1, (size_t)st.st_size + 1)))
        while (*size < (size_t)st.st_size) {
            ssize_t n = read(f, text + *size, (size_t)st.st_size - *size);
            if (n <= 0) break;
            *size += (size_t)n;
        }
    close(f);
    return text;
}
static int save(const char *path, const char *text, size_t n) {
    int f = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), bad = f < 0;
    while (!bad && n > 0) {
        ssize_t k = write(f, text, n);
        if (k <= 0) bad = 1;
        else text += k, n -= (size_t)k;
    }
    if (f >= 0) close(f);
    return bad;
}
static int command(char *const *argv, const char *log) {
    posix_spawn_file_actions_t files;
    pid_t child;
    int status = -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (!posix_spawnp(&child, argv[0], &files, 0, argv, environ))
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    posix_spawn_file_actions_destroy(&files);
    return status;
}

/* Blanks the word out that marks kernels, and gives, for each kernel, what makes it known. */
static char *entries(char *text, size_t *n) {
    static const char mark[] = "STANDIN_KERNEL";
    size_t room = 4096;
    char *out = calloc(1, room), *at = text;
    *n = 0;
    while ((at = strstr(at, mark))) {
        char name[256] = "";
        char *p = at + sizeof mark - 1;
        size_t k = 0;
        memset(at, ' ', sizeof mark - 1);
        at = p;
        while (isspace((unsigned char)*p)) p++;
        if (strncmp(p, "void", 4)) continue;
        for (p += 4; isspace((unsigned char)*p);) p++;
        while ((isalnum((unsigned char)*p) || *p == '_') && k < sizeof name - 1) name[k++] = *p++;
        if (room - *n < 2048 && !(out = realloc(out, room *= 2))) abort();
        *n += (size_t)snprintf(out + *n, room - *n,
            "extern \"C\" void dialtone_entry_%s(const struct dialtone_item *, void **standin_arguments) { standin_call(%s, standin_arguments); }\n"
            "extern \"C\" const unsigned *standin_sizes_%s() { return standin_sizes(%s); }\n"
            "extern \"C\" { extern const char standin_descriptor_%s[64] __asm__(\"%s.kd\"); const char standin_descriptor_%s[64] = {1}; }\n",
            name, name, name, name, name, name, name);
    }
    return out;
}

hiprtcResult hiprtcCompileProgram(hiprtcProgram p, int count, const char **options) {
    static const char *const known[] = {"gfx90a", "gfx942", "gfx1030", "gfx1100"};
    char dir[256], source[300], text[300], log[300], object[300], *argv[64];
    const char *compiler = getenv("CXX"), *tmp = getenv("TMPDIR");
    hiprtcResult r = HIPRTC_ERROR_COMPILATION;
    size_t n = 0, size, more;
    char *all, *tail;
    int i, k;
    for (i = 0; i < count; i++)
        if (!strncmp(options[i], "--offload-arch=", 15)) {
            for (k = 0; k < (int)(sizeof known / sizeof *known) && strcmp(known[k], options[i] + 15); k++) {}
            if (k == sizeof known / sizeof *known) abort(); /* as hiprtc of HIP 5 and 6 does */
        } else if (strncmp(options[i], "-D", 2) && strncmp(options[i], "-std=", 5) && strncmp(options[i], "-f", 2) && strncmp(options[i], "-O", 2) &&
                   strcmp(options[i], "-w")) {
            return HIPRTC_ERROR_INVALID_OPTION;
        }
    if (!compiler || !*compiler) compiler = "c++";
    snprintf(dir, sizeof dir, "%s/dialtone-standin-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) return HIPRTC_ERROR_PROGRAM_CREATION_FAILURE;
    snprintf(source, sizeof source, "%s/k.hip", dir);
    snprintf(text, sizeof text, "%s/k.ii", dir);
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(object, sizeof object, "%s/k.so", dir);
    if (save(source, p->source, strlen(p->source))) goto end;

    argv[n++] = (char *)compiler, argv[n++] = "-x", argv[n++] = "c++", argv[n++] = "-E", argv[n++] = "-w";
    argv[n++] = "-include", argv[n++] = STANDIN_FOLDER "/kernel.h";
    for (i = 0; i < count && n < 56; i++)
        if (!strncmp(options[i], "-D", 2) || !strncmp(options[i], "-std=", 5)) argv[n++] = (char *)options[i];
    argv[n++] = source, argv[n++] = "-o", argv[n++] = text, argv[n] = 0;
    if (command(argv, log)) goto end;
    if (!(all = whole(text, &size))) goto end;
    tail = entries(all, &more);
    all = realloc(all, size + more + 1);
    memcpy(all + size, tail, more);
    i = save(text, all, size + more);
    free(all), free(tail);
    if (i) goto end;
    {
        char *compile[] = {(char *)compiler, "-x", "c++-cpp-output", "-std=gnu++17", "-O1", "-fPIC", "-shared", "-w", "-fno-strict-aliasing",
            "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-Wl,-Bsymbolic", "-fno-diagnostics-show-option", text, "-o", object, 0};
        if (command(compile, log)) goto end;
    }
    if ((p->code = whole(object, &p->code_size))) r = HIPRTC_SUCCESS;
end:
    free(p->log);
    if ((p->log = whole(log, &p->log_size))) p->log_size++;
    unlink(source), unlink(text), unlink(log), unlink(object), rmdir(dir);
    return r;
}
