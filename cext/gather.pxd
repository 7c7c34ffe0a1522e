# Gather: the keys and values of a large dict, taken and let go while what comes next is called into the cache.

cdef tuple keys_and_values(dict table)
cdef list keys_of(dict table)
cdef void hold(list items) noexcept
