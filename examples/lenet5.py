"""The five steps of the seed project: train, prune and retrain, quantize, reload, export LeNet-5.

    python examples/lenet5.py [FOLDER] [EPOCHS]

writes checkpoints and YAML files to FOLDER (default: here). Only the imports, the loading of the
data in batches and the number of epochs differ from the original.
"""

import os
import sys

import torch
import torch.nn.functional as F
import torch.nn.utils.prune as pt_prune

from dse import data, storage
from dse.prune import PruningTrainPlugin, sparsity_of_tensors
from dse.quantize import QuanConv2d, QuanLinear, QuanNet

BATCH_SIZE = 100

os.makedirs(sys.argv[1] if len(sys.argv) > 1 else ".", exist_ok=True)
os.chdir(sys.argv[1] if len(sys.argv) > 1 else ".")
n_epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 4
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


# nn.Module -> QuanNet
class LeNet5(QuanNet):
    def __init__(self, n_bits: int):
        super().__init__(n_bits)
        # Conv2d -> QuanConv2d
        self.conv1 = QuanConv2d(
            in_channels=1, out_channels=6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2)
        )
        self.conv2 = QuanConv2d(in_channels=6, out_channels=16, kernel_size=(5, 5), stride=(1, 1))
        self.conv3 = QuanConv2d(in_channels=16, out_channels=120, kernel_size=(5, 5), stride=(1, 1))
        # Linear -> QuanLinear
        self.fc1 = QuanLinear(in_features=120, out_features=84)
        self.fc2 = QuanLinear(in_features=84, out_features=10)

    # stack layers in forward_() instead of forward()
    def forward_(self, x):
        x = self.conv1(x)
        x = self.conv1.relu(x)  # F.relu() -> self.[layer].relu()
        x = F.max_pool2d(x, (2, 2))
        x = self.conv2(x)
        x = self.conv2.relu(x)
        x = F.max_pool2d(x, (2, 2))
        x = self.conv3(x)
        x = self.conv3.relu(x)
        x = x.view(x.size()[0], x.size()[1])
        x = self.fc1(x)
        x = self.fc1.relu(x)
        x = self.fc2(x)
        return x


def load_data_set():
    digits = data.load("mnist", fallback="digits")
    if digits.note:
        print(digits.note)
    tensors = (digits.train.images, digits.train.labels, digits.test.images, digits.test.labels)
    return tuple(tensor.to(device) for tensor in tensors)


def batches(images, labels):
    order = torch.randperm(len(labels), device=device).split(BATCH_SIZE)
    return ((images[indices], labels[indices]) for indices in order)


def train(net, train_data, train_label, n_epochs=1000):
    criterion = torch.nn.CrossEntropyLoss().to(device)
    optimizer = torch.optim.Adadelta(net.parameters(), lr=0.1)
    for epoch in range(n_epochs):
        for images, labels in batches(train_data, train_label):
            optimizer.zero_grad()
            output = net(images)
            loss = criterion(output, labels)
            loss.backward()
            optimizer.step()
        print(f"epoch: {epoch + 1}, training_loss: {loss}")


def acc(net, test_data, test_label):
    with torch.no_grad():
        output = net(test_data)
    count = len(test_label)
    right = int((output.argmax(1) == test_label).sum())
    wrong = count - right
    print(
        f"\nTest set: Accuracy: {right}/{count} ({100.0 * right / count:.2f}%), "
        f"Error: {wrong}/{count} ({100.0 * wrong / count:.2f}%)\n"
    )
    return right / count


def global_prune(net):
    parameters_to_prune = (
        (net.conv1, "weight"),
        (net.conv2, "weight"),
        (net.conv3, "weight"),
        (net.fc1, "weight"),
        (net.fc2, "weight"),
    )
    # remove 90% weights
    pt_prune.global_unstructured(
        parameters_to_prune, pruning_method=pt_prune.L1Unstructured, amount=0.9
    )
    for p in parameters_to_prune:
        pt_prune.remove(p[0], p[1])
    for name in ("conv1", "conv2", "conv3", "fc1", "fc2"):
        sparsity = sparsity_of_tensors([getattr(net, name).weight], 0)
        print(f"Sparsity in {name}.weight: {100.0 * sparsity:.2f}%")
    weights = [layer.weight for layer, _ in parameters_to_prune]
    print(f"Global sparsity: {100.0 * sparsity_of_tensors(weights, 0):.2f}%")


def prune_train(net, train_data, train_label, n_epochs=1000):
    criterion = torch.nn.CrossEntropyLoss().to(device)
    optimizer = torch.optim.Adadelta(net.parameters(), lr=0.1)
    # plugin this code snippet
    pft = PruningTrainPlugin()
    pft.set_net_named_parameters(net.named_parameters())
    loss_list = []
    for epoch in range(n_epochs):
        for images, labels in batches(train_data, train_label):
            optimizer.zero_grad()
            output = net(images)
            loss = criterion(output, labels)
            loss.backward()
            optimizer.step()
            # plugin this code snippet
            pft.after_optimizer_step()
        print(f"train after prune, epoch: {epoch + 1}, training_loss: {loss}")
        loss_list.append(float(loss))


train_data, train_label, test_data, test_label = load_data_set()

# step1, train a dense model with float nn parameters
print("dense float model:")
net = LeNet5(8)
net = net.to(device)
net.float_mode()  # training should be performed in float mode
train(net, train_data, train_label, n_epochs=n_epochs)
acc(net, test_data, test_label)
torch.save(net.state_dict(), "lenet5_dense_float.pt")

# step2, prune the dense model and retrain
print("sparse float model:")
net = LeNet5(8)
net = net.to(device)
net.load_state_dict(torch.load("lenet5_dense_float.pt"), strict=False)
net.float_mode()
global_prune(net)  # your own prune strategy
prune_train(net, train_data, train_label, n_epochs=n_epochs)  # retrain
float_accuracy = acc(net, test_data, test_label)
torch.save(net.state_dict(), "lenet5_sparse_float.pt")

# step3, quantize the model
print("sparse quantized model:")
net = LeNet5(8)
net = net.to(device)
net.load_state_dict(torch.load("lenet5_sparse_float.pt"), strict=False)
net.float_mode()  # quantize should be called in float mode
net.quantize(train_data)
net.quan_mode()  # switch to quantized mode to test the quantized model
quantized_accuracy = acc(net, test_data, test_label)
torch.save(net.state_dict(), "lenet5_sparse_quantized.pt")

# step4, used the sparse_quantized model
print("Evaluate sparse quantized model:")
quantized_net = net
net = LeNet5(8)
net = net.to(device)
net.load_state_dict(torch.load("lenet5_sparse_quantized.pt"), strict=False)
net.quan_mode()
acc(net, test_data, test_label)

# step5, save model in yaml format
storage.save_quan_model(
    "lenet5_sparse_quantized.pt",
    "lenet5_sparse_quantized_float.yml",
    "lenet5_sparse_quantized_int.yml",
)
storage.save_sparse_model(
    "lenet5_sparse_quantized.pt",
    "lenet5_sparse_quantized_float_coo.yml",
    "lenet5_sparse_quantized_int_coo.yml",
    form="coo",
)
