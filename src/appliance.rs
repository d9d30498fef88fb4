//! An appliance on disk: what is installed, how far a change got, and who may
//! change it now.
