/* Draws the Mandelbrot set into a PGM file, by as many instances as there are: each computes rows of its own and writes them to their
 * places in the file.
 *
 *     mandelbrot FILE [SIZE [ITERATIONS]]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int number(const char *text, int otherwise) { return text ? atoi(text) : otherwise; }

static unsigned char shade(double cr, double ci, int most) {
    double x = 0, y = 0;
    int n = 0;
    while (n < most && x * x + y * y < 4) {
        double next = x * x - y * y + cr;
        y = 2 * x * y + ci;
        x = next;
        n++;
    }
    return n == most ? 0 : 255 - n % 256;
}

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: mandelbrot FILE [SIZE [ITERATIONS]]\n"), 2;
    const int size = number(argc > 2 ? argv[2] : NULL, 256), most = number(argc > 3 ? argv[3] : NULL, 200);
    const int instance = number(getenv("DIALTONE_INSTANCE"), 0), instances = number(getenv("DIALTONE_INSTANCES"), 1);
    if (size < 1 || most < 1 || instances < 1) return fprintf(stderr, "mandelbrot: numbers must be positive\n"), 2;

    char header[40];
    const int length = snprintf(header, sizeof header, "P5\n%d %d\n255\n", size, size);
    unsigned char *row = malloc(size);
    const int fd = open(argv[1], O_WRONLY | O_CREAT, 0666);
    if (!row || fd < 0) return perror(argv[1]), 1;

    /* Every instance gives the file its size, so that none cuts off what another has written. */
    if (ftruncate(fd, length + (off_t)size * size)) return perror(argv[1]), 1;
    if (instance == 0 && pwrite(fd, header, length, 0) != length) return perror(argv[1]), 1;
    for (int y = instance; y < size; y += instances) {
        for (int x = 0; x < size; x++) row[x] = shade(3.0 * x / size - 2.25, 3.0 * y / size - 1.5, most);
        if (pwrite(fd, row, size, length + (off_t)y * size) != size) return perror(argv[1]), 1;
    }
    if (close(fd)) return perror(argv[1]), 1;
    return 0;
}
