//! Many filters compiled together: each distinct predicate once, a filter hung on its rarest
//! necessary predicate.
