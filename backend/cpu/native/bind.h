static const struct dialtone_cpu *dialtone_cpu;
void dialtone_bind(const struct dialtone_cpu *runtime) { dialtone_cpu = runtime; }
