//! One verb, one file; each says in which states it is legal.

mod attach;
mod clean_up;
mod create;
mod exec;
mod image;
mod inspect;
mod kill;
mod list;
mod remove;
mod run;
mod shut_down;
mod start;
mod stop;
