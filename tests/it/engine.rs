//! The engine itself: containers, networks, volumes, and the images of a
//! bundle.

mod containers;
mod images;
mod seal;
mod transfer;
