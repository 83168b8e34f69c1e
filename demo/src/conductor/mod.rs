//! The conductor: registers the books, drives each from stage to stage, kills one worker on purpose, and checks the
//! outcome. `run` is the whole; `book` drives one book; `saboteur` decides when to kill; `database` asks Bindery where
//! a book stands; `sender` speaks on the stream; `proof` reads the work logs; `board` remembers where everybody stands.

pub mod args;
pub mod board;
pub mod book;
pub mod database;
pub mod proof;
pub mod run;
pub mod saboteur;
pub mod sender;
