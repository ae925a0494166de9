//! observer.
