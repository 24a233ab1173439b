/* bench_kernels.h - how fast is each matrix kernel by itself? Not a test. */
#ifndef TALLYMESH_TESTS_GPU_BENCH_KERNELS_H
#define TALLYMESH_TESTS_GPU_BENCH_KERNELS_H

/* Prints a line per type of weights; ends the program if the device fails. */
void bench_kernels(double read_gb_s);

#endif
