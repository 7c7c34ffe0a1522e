# Plain: what of a checkpoint may be made bytes later, as it cannot change, and what is as simple as can be.

cdef bint is_fixed(object item, int depth) except -1
