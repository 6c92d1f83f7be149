/* From Metal Shading Language to a shared object: clang -E, with the words of address spaces left alone; variables in
   threadgroup memory become references to thread-local ones, since C++ has no such variables; each kernel gets an entry that
   takes its arguments from the cpu backend's runtime; and clang++ makes machine code of that, with 1.5 a float as in Metal. */
enum { MAX_BUFFERS = 31, MAX_KERNELS = 256 };

struct kernel { char name[128]; unsigned int used; /* buffers */ void (*entry)(const struct dialtone_item *, void **); };
struct kernels { struct kernel *list; int count; };
struct text { char *p; size_t n, room; };

static void add(struct text *t, const char *p, size_t n) {
    if (t->n + n + 1 > t->room) t->p = realloc(t->p, t->room = (t->n + n + 1) * 2);
    memcpy(t->p + t->n, p, n);
    t->p[t->n += n] = 0;
}
static void __attribute__((format(printf, 2, 3))) addf(struct text *t, const char *format, ...) {
    char b[4096];
    va_list a;
    va_start(a, format);
    vsnprintf(b, sizeof b, format, a);
    va_end(a);
    add(t, b, strlen(b));
}
static int is_word(int c) { return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static const char *blanks(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\n') p++;
    return p;
}

static const char prefix[] =
    "#define device __attribute__((address_space(1)))\n#define constant __attribute__((address_space(2)))\n"
    "#define threadgroup __attribute__((address_space(3)))\n#define thread\n#define kernel extern \"C\"\n";
static const char suffix[] =
    "\n# 1 \"stand-in\"\n"
    "struct dialtone_item { unsigned int group_id[3], local_id[3], group_size[3], group_count[3]; };\n"
    "struct dialtone_cpu { void (*barrier)(const dialtone_item *); };\n"
    "static const dialtone_cpu *standin_cpu;\n"
    "static __thread const dialtone_item *standin_item;\n"
    "extern \"C\" __attribute__((visibility(\"default\"))) void standin_bind(const dialtone_cpu *c) { standin_cpu = c; }\n"
    "void metal::threadgroup_barrier(metal::mem_flags) { auto i = standin_item; standin_cpu->barrier(i); standin_item = i; }\n"
    "struct standin_pointer { void *p; template <class T> operator T *() const { return (T *)p; } };\n"
    "struct standin_value { void *p; template <class T> operator T &() const { return *(T *)p; } };\n"
    "static metal::uint3 standin_id(const unsigned int *v) { return metal::uint3{v[0], v[1], v[2]}; }\n";

/* A variable in threadgroup memory: type, then names with dimensions. */
static const char *shared(struct text *out, const char *p, const char *end) {
    const char *names, *q;
    int depth = 0, type;
    for (names = p; names < end && *names != '[' && *names != ',' && *names != ';'; names++) {}
    while (names > p && !is_word(names[-1])) names--;
    while (names > p && is_word(names[-1])) names--;
    type = (int)(names - p);
    for (q = names; q <= end; q++) {
        if (*q == '[') depth++;
        if (*q == ']') depth--;
        if (depth == 0 && (*q == ',' || q == end)) {
            const char *name = names = blanks(names);
            int n = 0;
            while (is_word(name[n])) n++;
            addf(out, "static __thread %.*s shared_%.*s; auto &%.*s = *(threadgroup decltype(shared_%.*s) *)(void *)&shared_%.*s; ", type, p,
                 (int)(q - names), names, n, name, n, name, n, name);
            names = q + 1;
        }
    }
    return end + 1;
}

/* The entry of a kernel whose name p points to; gives what is wrong, or 0. */
static const char *entry(struct text *out, const char *p, struct kernels *kernels, char *why, size_t room) {
    struct kernel *k = &kernels->list[kernels->count];
    const char *from, *q;
    int n = 0, depth = 0, first = 1;
    while (is_word(p[n])) n++;
    if (n >= (int)sizeof k->name || kernels->count == MAX_KERNELS) return "too long a name, or too many kernels";
    snprintf(k->name, sizeof k->name, "%.*s", n, p);
    addf(out, "extern \"C\" __attribute__((visibility(\"default\"))) void standin_entry_%s(const dialtone_item *standin_i, void **standin_a) { standin_item = standin_i; ::%s(", k->name, k->name);
    if (*(p = blanks(p + n)) != '(') return "a kernel without parameters";
    for (q = from = p + 1; *q; q++) {
        if (*q == '(' || *q == '[') depth++;
        if ((*q == ')' || *q == ']') && depth > 0) depth--;
        else if (depth == 0 && (*q == ',' || *q == ')')) {
            const char *attribute = strstr(from, "[["), *stop = attribute ? strstr(attribute, "]]") : 0;
            int index, length;
            if (!first) add(out, ", ", 2);
            first = 0;
            if (!stop || stop > q) {
                snprintf(why, room, "a parameter of kernel %s has no attribute: %.*s", k->name, (int)(q - from), from);
                return why;
            }
            attribute = blanks(attribute + 2);
            length = (int)(stop - attribute);
            if (sscanf(attribute, "buffer(%d)", &index) == 1 && index >= 0 && index < MAX_BUFFERS) {
                k->used |= 1u << index;
                if (memchr(from, '&', (size_t)(attribute - from))) addf(out, "standin_value{standin_a[%d]}", index);
                else addf(out, "standin_pointer{*(void **)standin_a[%d]}", index);
            } else if (!strncmp(attribute, "thread_position_in_threadgroup", (size_t)length)) addf(out, "standin_id(standin_i->local_id)");
            else if (!strncmp(attribute, "threadgroup_position_in_grid", (size_t)length)) addf(out, "standin_id(standin_i->group_id)");
            else if (!strncmp(attribute, "threads_per_threadgroup", (size_t)length)) addf(out, "standin_id(standin_i->group_size)");
            else if (!strncmp(attribute, "threadgroups_per_grid", (size_t)length)) addf(out, "standin_id(standin_i->group_count)");
            else {
                snprintf(why, room, "unknown attribute '%.*s' of a parameter of kernel %s", length, attribute, k->name);
                return why;
            }
            from = q + 1;
            if (*q == ')') break;
        }
    }
    addf(out, "); }\n");
    kernels->count++;
    return 0;
}

static int spawn(char **argv, const char *log) {
    extern char **environ;
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (posix_spawnp(&pid, argv[0], &files, 0, argv, environ) != 0) die("cannot run %s", argv[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    posix_spawn_file_actions_destroy(&files);
    return status;
}

static char *slurp(const char *path) {
    struct text t = {0};
    char b[65536];
    size_t n;
    FILE *f = fopen(path, "r");
    add(&t, "", 0);
    while (f && (n = fread(b, 1, sizeof b, f)) > 0) add(&t, b, n);
    if (f) fclose(f);
    return t.p;
}

static void spill(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) die("cannot write %s", path);
}

/* Gives the loaded code, or 0 and the compiler's words in *log, which is the caller's to free. */
static void *translate(const char *source, struct kernels *kernels, char **log) {
    static int made;
    const int serial = __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
    char in[1200], middle[1200], so[1200], said[1200], why[400], *text;
    const char *p, *wrong = 0;
    struct text out = {0}, entries = {0};
    void *handle = 0;
    int i;
    snprintf(in, sizeof in, "%s/%d-%d.metal", folder, (int)getpid(), serial);
    snprintf(middle, sizeof middle, "%s/%d-%d.cc", folder, (int)getpid(), serial);
    snprintf(so, sizeof so, "%s/%d-%d.so", folder, (int)getpid(), serial);
    snprintf(said, sizeof said, "%s/%d-%d.log", folder, (int)getpid(), serial);
    spill(in, source);
    kernels->list = calloc(MAX_KERNELS, sizeof *kernels->list);
    {
        char *argv[] = {clang, "-x", "c++", "-std=c++14", "-E", "-nostdinc", "-DMETAL_LINT", "-I", include, "-w", "-o", middle, in, 0};
        if (spawn(argv, said) != 0) {
            *log = slurp(said);
            return 0;
        }
    }
    text = slurp(middle);
    add(&out, prefix, sizeof prefix - 1);
    add(&entries, suffix, sizeof suffix - 1);
    for (p = text; *p;) {
        const char *from = p;
        if (*p == '"' || *p == '\'') {
            for (p++; *p && *p != *from && *p != '\n'; p++)
                if (*p == '\\' && p[1]) p++;
            if (*p) p++;
        } else if (*p == '#') {
            while (*p && *p != '\n') p++;
        } else if (is_word(*p)) {
            const char *end;
            while (is_word(*p)) p++;
            end = p + strcspn(p, "*&(){};,=[");
            if (p - from == 11 && !strncmp(from, "threadgroup", 11) && (*end == ';' || *end == ',' || *end == '[')) {
                p = shared(&out, blanks(p), end + strcspn(end, ";"));
                continue;
            }
            if (p - from == 6 && !strncmp(from, "kernel", 6) && !strncmp(blanks(p), "void ", 5) && !wrong)
                wrong = entry(&entries, blanks(blanks(p) + 5), kernels, why, sizeof why);
        } else {
            p++;
        }
        add(&out, from, (size_t)(p - from));
    }
    add(&out, entries.p, entries.n);
    spill(middle, out.p);
    if (wrong) {
        *log = malloc(512);
        snprintf(*log, 512, "program_source: error: %s", wrong);
    } else {
        char *argv[] = {clang, "-x", "c++", "-std=c++14", "-O1", "-fPIC", "-shared", "-nostdinc", "-fno-exceptions", "-fno-rtti", "-fno-strict-aliasing",
            "-fvisibility=hidden", "-Xclang", "-cl-single-precision-constant", "-w", "-o", so, middle, 0};
        const int status = spawn(argv, said);
        *log = slurp(said);
        if (status == 0) {
            void (*bind)(const struct dialtone_cpu *);
            if (!(handle = dlopen(so, RTLD_NOW | RTLD_LOCAL))) die("%s", dlerror());
            *(void **)&bind = dlsym(handle, "standin_bind");
            if (!bind) die("%s has no standin_bind", so);
            bind(dialtone_functions());
            for (i = 0; i < kernels->count; i++) {
                char name[200];
                snprintf(name, sizeof name, "standin_entry_%s", kernels->list[i].name);
                *(void **)&kernels->list[i].entry = dlsym(handle, name);
                if (!kernels->list[i].entry) die("no %s", name);
            }
            unlink(so);
        }
    }
    unlink(in), unlink(middle), unlink(said);
    free(text), free(out.p), free(entries.p);
    return handle;
}
