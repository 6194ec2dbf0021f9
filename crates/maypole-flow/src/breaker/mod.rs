//! Circuit breakers: stop calling what fails, and find out when it works again.

pub mod machine;
pub mod settings;
pub mod state;
mod trial;
pub mod window;
