mod masking;
mod round_trip;
mod samples;
mod services;
mod writing;
