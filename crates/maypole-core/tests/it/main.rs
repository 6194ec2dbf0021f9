//! The promises of the core, each against a model so plain that it can be read at once.

mod drops;
mod inbox;
mod ready;
mod slots;
mod sources;
mod ties;
mod time;
mod turn;
mod virtual_clock;
mod wheel;
