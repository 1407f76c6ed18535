/* The CPU path's functions on maps (pool, dwc, smooth), for every instruction set that this machine has, against naive sums in double. */
