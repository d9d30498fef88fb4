//! The engine itself: containers, networks, volumes, and the images of a
//! bundle.

mod containers;
mod images;
mod ownership;
mod seal;
mod transfer;
