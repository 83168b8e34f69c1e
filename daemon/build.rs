//! `include_dir!` notices a changed file of `sql/`, but not a new one.

fn main() {
    println!("cargo:rerun-if-changed=../sql");
}
