"""What a study is: its file, its checks, its search space, and its folder on disk."""
