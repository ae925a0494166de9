mod masking;
mod round_trip;
mod samples;
mod writing;
